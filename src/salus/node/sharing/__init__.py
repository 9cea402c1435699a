"""What a node does in the sharing half: shares of the committee's keys, attachments, pending store, partial results, verdicts."""
