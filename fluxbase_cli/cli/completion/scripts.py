"""The scripts of the shells. Each calls the program with `__complete SHELL WORD…` and shows the lines that it prints.

The first line is `words` or `files`. Then follows a line for each word: the word, a tab, and what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Works with bash 3.2, which macOS has.
_BASH = r"""# bash completion for fluxbase-cli, printed by `fluxbase-cli completion bash`.
_fluxbase_cli() {
    local current=${COMP_WORDS[COMP_CWORD]} kind="" word text
    COMPREPLY=()
    while IFS=$'\t' read -r word text; do
        if [ -z "$kind" ]; then
            kind=$word
        else
            COMPREPLY+=("$word")
        fi
    done < <("$1" __complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null </dev/null)
    if [ "$kind" = files ]; then
        compopt -o filenames 2>/dev/null
        # `--config=` is a word of its own in bash.
        [ "$current" = "=" ] && current=""
        while IFS= read -r word; do
            COMPREPLY+=("$word")
        done < <(compgen -f -- "$current" 2>/dev/null)
    fi
}
complete -F _fluxbase_cli fluxbase-cli
"""

_ZSH = r"""#compdef fluxbase-cli
# zsh completion for fluxbase-cli, printed by `fluxbase-cli completion zsh`.
_fluxbase_cli() {
    local kind="" word text
    local -a found
    while IFS=$'\t' read -r word text; do
        if [[ -z $kind ]]; then
            kind=$word
        else
            found+=("${word//:/\\:}${text:+:$text}")
        fi
    done < <("${(Q)words[1]}" __complete zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null </dev/null)
    if [[ $kind == files ]]; then
        # The value behind `--config=`.
        [[ $PREFIX == --*=* ]] && compset -P '*='
        _files
    elif (( $#found )); then
        _describe -V 'fluxbase-cli' found
    fi
}
if [[ "${funcstack[1]}" == _fluxbase_cli ]]; then
    _fluxbase_cli "$@"
else
    compdef _fluxbase_cli fluxbase-cli
fi
"""

_FISH = r"""# fish completion for fluxbase-cli, printed by `fluxbase-cli completion fish`.
function __fluxbase_cli_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l program $before[1]
    set -e before[1]
    set -l found ($program __complete fish $before "$current" 2>/dev/null </dev/null)
    if test "$found[1]" = files
        __fish_complete_path (string replace -r '^--[^=]*=' '' -- "$current")
    else
        set -e found[1]
        printf '%s\n' $found
    end
end
complete -c fluxbase-cli -f -a '(__fluxbase_cli_complete)'
"""

#: The script of each shell.
SCRIPTS: Mapping[str, str] = MappingProxyType({"bash": _BASH, "zsh": _ZSH, "fish": _FISH})
