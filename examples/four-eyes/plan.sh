#!/bin/sh
# The first job: what would be done, as a file that somebody reads before it is done. Writes nothing to the database.
# It needs the keys, and a role that may read all rows.
set -eu

fluxbase-cli config check
fluxbase-cli secrets re-encrypt --from-version "$FROM" --to-version "$TO" --databases all \
    --plan-out plan.json --plan-valid 24h

# What the person who approves it must see.
echo "--- the plan ---"
cat plan.json
