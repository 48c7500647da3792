"""ringfence_local.processes"""
