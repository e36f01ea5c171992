"""Objects that every package uses: events, recordings, series and errors; and atomic writing of files."""
