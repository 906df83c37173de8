"""Does the angle latent turn with the grains of graphene, and does their boundary show?"""
