"""A consumer in Java, and how to compile and run it where there is no JDK."""
