"""ringfence_simulators.fusionpbx.access"""
