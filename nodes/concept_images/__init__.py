"""What Load Concept Images finds in a folder: pictures as a person sees them, and their captions."""
