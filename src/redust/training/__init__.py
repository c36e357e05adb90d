"""How a model is made and measured."""
