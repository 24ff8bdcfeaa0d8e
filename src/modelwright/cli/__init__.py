"""The command line: parse, call, render. It decides nothing.

``main`` holds the commands; ``progress`` draws events; ``render`` draws a finished run;
``describe`` draws algorithms; ``scored`` writes predictions; ``failure`` draws errors.
"""
