"""What several test files share; pytest finds it through its setting `pythonpath`."""
