"""What a report says: runs arranged, estimated and judged, before any format."""
