if(TARGET ringtap_serve)
  ringtap_test(serve SOURCES ${CMAKE_SOURCE_DIR}/native/test/serve_test.cc LINK ringtap_serve)
endif()
