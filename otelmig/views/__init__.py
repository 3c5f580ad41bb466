"""Traces -> text for people and scripts."""
