"""What engines print while they build, understood as steps."""
