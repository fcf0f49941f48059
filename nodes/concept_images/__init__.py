"""What Load Concept Images finds in a folder: images as a person sees them, and their captions."""
