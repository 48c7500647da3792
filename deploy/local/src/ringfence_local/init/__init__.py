"""ringfence_local.init"""
