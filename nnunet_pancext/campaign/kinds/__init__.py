"""The kinds of steps; a module here adds one."""
