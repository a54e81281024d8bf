#!/bin/sh
# A rotation as a runbook or CI step. Keys and address come from the environment (FLUXBASE_SECRET_KEY_1, _2 and
# FLUXBASE_DATABASE_URL) or from fluxbase.yaml. Safe to run again: it resumes, or finds nothing to do.
set -eu

fluxbase-cli config check
fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2 --yes -o json > rotation.json
fluxbase-cli secrets audit --key-version 1
