"""ringfence_local.embedded"""
