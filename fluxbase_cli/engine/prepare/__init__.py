"""Does what comes before the first write: checks, plan, key sample, decision to resume, estimate."""
