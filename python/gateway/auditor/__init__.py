"""What an auditor runs on his own machine; nothing of the gateway is imported here."""
