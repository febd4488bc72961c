"""Building blocks of asynchronous code: tasks, bounded maps, single flight, clocks."""
