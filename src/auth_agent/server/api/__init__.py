"""What programs call, beside the protocol."""
