"""What ImmPort clients and servers agree on byte for byte (spec immport)."""
