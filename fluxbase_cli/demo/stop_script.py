"""The shell scripts that stop an embedded server and remove its folder when our process does not."""

from __future__ import annotations

#: Stops the server of one folder and removes the folder. The pid is used only when it is still this very server, so
#: that a pid used again (after a reboot, say) is never signalled. Where neither /proc nor ps can tell, the server
#: stops within a minute after the folder is gone.
STOP_SCRIPT = """\
cd / || exit 1
folder={folder}
pid=$(head -n 1 "$folder/data/postmaster.pid" 2>/dev/null)
ours() {{
    [ -n "$pid" ] || return 1
    {{ cat "/proc/$pid/cmdline" || ps -o args= -p "$pid"; }} 2>/dev/null | grep -qF "$folder/data"
}}
if ours; then
    kill -INT "$pid"
    waited=0
    while ours && [ "$waited" -lt 30 ]; do sleep 1; waited=$((waited + 1)); done
fi
# A server that is just leaving may still put a file down while its folder is being removed.
tries=0
while rm -rf -- "$folder" 2>/dev/null; [ -e "$folder" ] && [ "$tries" -lt 10 ]; do sleep 1; tries=$((tries + 1)); done
[ ! -e "$folder" ]
"""

#: Waits until our process is gone (its end of the pipe closes), then stops the server; unless told to leave it.
WATCHDOG = 'while read -r word; do last=$word; done; [ "$last" = leave ] || exec sh "$1"'
