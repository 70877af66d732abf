# region: stack
"""The batch stack: Flask under gunicorn, one JSON when the whole answer is there."""
