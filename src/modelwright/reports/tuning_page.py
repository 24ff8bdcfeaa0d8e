def render(tuning):
    return ""
