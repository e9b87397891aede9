"""Did pretraining help? Arms that differ in nothing but how they started, on the same people, told with an interval."""
