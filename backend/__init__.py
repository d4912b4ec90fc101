"""The backend: owns the queue and the models, and answers Blender and the command line over `shared_protocol`."""
