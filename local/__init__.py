"""The stack on one machine: bucket emulator, embedded engine, demo."""
