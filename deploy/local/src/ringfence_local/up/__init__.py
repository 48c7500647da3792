"""ringfence_local.up"""
