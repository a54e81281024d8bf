"""The output of the commands: text for people, JSON and YAML for programs."""
