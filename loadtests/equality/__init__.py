"""Whether two stacks answer alike: what is asked, how it is asked, and in what the replies differ."""
