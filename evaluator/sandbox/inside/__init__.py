"""Code that runs in the sandbox's jails: the zygote, a program's process, the process of its tests.

It imports the standard library only, and of Holdfast only itself.
"""
