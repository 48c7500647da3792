"""ringfence_local.mail"""
