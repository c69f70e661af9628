"""The model `chain`: a transformer of one step a note, whose heads are chained (docs/MODELS.md, notes)."""
