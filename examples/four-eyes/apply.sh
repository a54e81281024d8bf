#!/bin/sh
# The second job, after somebody has approved the first: exactly that plan, or nothing.
# Exit code 3: the database, the keys or the values are not those of the plan any more. Make a new plan.
set -eu

# The digest that was approved, so that no other file can take the plan's place. Who starts this job gives it.
: "${PLAN_DIGEST:?is not set: give the digest that the first job has printed (sha256:...)}"
fluxbase-cli secrets re-encrypt --plan plan.json --plan-digest "$PLAN_DIGEST" -o json > result.json

# The proof. It fails if one value still needs the old key.
fluxbase-cli secrets audit --key-version "$FROM" --databases all
