"""Records as patients and doctors exchange them: encrypted bodies, payload framing, file formats, body sensors."""
