"""From the files of a run to its figures, its verdicts and the page that shows them."""
