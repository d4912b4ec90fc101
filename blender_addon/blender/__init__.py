"""What an artist sees and touches: panels, operators, preferences, strips."""
