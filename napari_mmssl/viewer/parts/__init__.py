"""What all dock widgets are made of: panels, background work, listening, the question at closing."""
