"""The running server: its commands, its health and its sessions."""
