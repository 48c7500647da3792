"""What tests share: real parts, fakes at a socket, records, waits, golden files."""
