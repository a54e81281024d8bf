"""Notifications: messages to a webhook about what a rotation does."""
