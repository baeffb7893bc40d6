"""Mirrors: lists that are made equal to streams. Did the whole audience come, and who is removed?"""
