"""ringfence_local.demo.story"""
