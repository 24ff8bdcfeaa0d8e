"""The command line: parse, call, render. It decides nothing.

``main`` the commands; ``options`` what they accept; ``progress`` draws events; ``render`` draws a finished run;
``describe`` draws algorithms; ``scored`` writes predictions; ``failure`` draws errors.
"""
