"""The faults that clients make."""

from loadtests.provoking import crowd_rows, leaving_rows, reading_rows, sending_rows

ROWS = (*leaving_rows.ROWS, *reading_rows.ROWS, *sending_rows.ROWS, *crowd_rows.ROWS)
