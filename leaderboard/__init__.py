"""The site: what people see, submit and read. It holds no key and no item text."""
