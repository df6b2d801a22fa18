"""Time stamps of a source: clocks, frame rate, order, lost and hidden frames."""
