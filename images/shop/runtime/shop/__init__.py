"""What the shop's services share."""
