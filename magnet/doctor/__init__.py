"""What the engines of this machine can do, and what stands in the way of the rest.

`gathering` and `engines` gather facts, `trial` tries what facts do not tell, and the checks are pure functions of both.
"""
