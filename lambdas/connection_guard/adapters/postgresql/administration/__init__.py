"""What only people do or ask on a server, by the command line; no function imports it."""
